"""Ways to learn corrections of the analytical model, besides boosted trees; each is a scikit-learn regressor."""
