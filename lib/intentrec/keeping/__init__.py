"""What keeps a warehouse for years: users are erased, old versions and nights go, a past night is built again."""
