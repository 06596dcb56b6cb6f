"""The kinds of targets, a file each; the file's `Kind` is a `mmtrain.targets.protocol.TargetKind`."""
