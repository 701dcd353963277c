// Placeholder so that the target has a file.
