"""The reference study `atc-rt`, as facts ready to state: what its opener says, its people, its participants."""
