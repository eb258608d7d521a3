"""From what a gin file says to what tf-models-official takes."""
