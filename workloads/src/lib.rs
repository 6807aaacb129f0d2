//! What Crossover computes and waits for, each verified by checksum.
