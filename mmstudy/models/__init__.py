"""Models as something to use: what each takes for granted of its inputs, where it lies, how it is passed on."""
