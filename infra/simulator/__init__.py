"""A made-up multicentre study that goes on living: sites in eight time zones state facts, one after the other."""
