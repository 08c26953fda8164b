"""What ``irc reproduce`` holds claims of papers against: a file for each way to predict the figures of a claim."""
