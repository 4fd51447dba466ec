"""What is shipped beside the program: the installer, units, images, examples and the manual."""
