"""The pages of those who take calls and of those who watch the queues."""
