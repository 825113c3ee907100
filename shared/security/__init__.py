"""Who is calling, what they may see, and what stays secret."""
