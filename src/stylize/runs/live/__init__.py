"""A live picture, restyled as it comes. Import `session.Live` from its module."""
