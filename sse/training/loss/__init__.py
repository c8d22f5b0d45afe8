"""What is minimised: the fused ranking loss, its soft targets and masks, and the losses beside it."""
