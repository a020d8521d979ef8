"""The training loop: ``Trainer`` on ``paddle.Model`` and what it is made of."""
