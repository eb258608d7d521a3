"""A Google Cloud on disk: what stands in for gcloud, and for a training that takes seconds."""
