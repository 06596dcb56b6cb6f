"""A page with stored volumes to look through: NiiVue, bundled, and the volumes in it."""
