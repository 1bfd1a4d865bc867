"""K folds of anybody's Keras model and arrays, without KerasTuner; `kmodels.cross_validate` is the way in."""
