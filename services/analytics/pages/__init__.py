"""Pages for people: what they show, the words around the figures, and the stream that keeps them current."""
