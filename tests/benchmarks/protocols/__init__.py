"""What quality.py is made of: folders of data, the protocols that cut them, training, rivals, figures."""
