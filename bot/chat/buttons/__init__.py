"""The buttons on cards, results and private answers."""
