"""What ``irc reproduce`` compares claims of papers with: a file for each way to predict a claim's figures."""
