"""Access tokens, rights, encryption, and the logs of reads and exports."""
