"""From command-line words to a typed config; knows no model, no dataset and no command but what a `Command` says."""
