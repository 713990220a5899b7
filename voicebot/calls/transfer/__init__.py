"""The hand-over of a live call to a person: decisions are `routing`'s, this carries them out."""
