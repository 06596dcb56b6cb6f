"""Read tables of participants, in every form that UK Biobank's exports have."""
