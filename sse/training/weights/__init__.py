"""What happens to weights and gradients over the steps: averages, levelled rows."""
