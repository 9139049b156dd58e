"""What the MPS backend of each torch release implements, read from the released macOS wheels."""
