"""Pure data of the image and distribution specifications; standard library only."""
