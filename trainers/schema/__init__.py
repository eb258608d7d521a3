"""What a gin file may say: names, types, ranges and defaults. model_garden and tasks build from it."""
