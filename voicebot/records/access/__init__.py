"""Who may do what: people and programs, their roles and rights, how they prove who they are."""
