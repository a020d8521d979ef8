"""What an evaluation leaves behind: tables, a drawing of the confusion matrix, a page to look at."""
