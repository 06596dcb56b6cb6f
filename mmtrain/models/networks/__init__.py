"""The networks, a file each; the file's `ARCHITECTURE` is a `mmtrain.models.protocol.Architecture`."""
