"""i-RevNets as Keras models, their encoders and inverses."""
