"""What a trained classifier withstands: occlusion, corruption, attacks, and how far its confidence can be trusted."""
