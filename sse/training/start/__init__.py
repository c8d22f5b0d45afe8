"""Where a training starts: tokenizer, token statistics, the first table, the DyT."""
