"""Fits a polynomial to noisy points by gradient descent, with what its parameters file says."""

import json
import math
import os
import random
import sys

outputs = os.environ["MORPHEO_OUTPUTS"]
with open(sys.argv[1]) as file:
    parameters = json.load(file)
rate, momentum = parameters["rate"], parameters["momentum"]
degree, epochs = parameters["degree"], parameters["epochs"]

# The same points for every trial: what differs is what the search has chosen.
draw = random.Random(1)
points = [(x, math.sin(3 * x) + draw.gauss(0, 0.1)) for x in (draw.uniform(-1, 1) for _ in range(120))]
train, test = points[:80], points[80:]

weights = [0.0] * (degree + 1)
velocity = [0.0] * (degree + 1)


def predicted(x):
    return sum(weight * x**power for power, weight in enumerate(weights))


def error(pairs):
    return sum((predicted(x) - y) ** 2 for x, y in pairs) / len(pairs)


with open(f"{outputs}/metrics.jsonl", "w") as metrics:
    for epoch in range(1, epochs + 1):
        for x, y in train:
            wrong = predicted(x) - y
            for power in range(degree + 1):
                velocity[power] = momentum * velocity[power] - rate * wrong * x**power
                weights[power] += velocity[power]
        if not math.isfinite(error(test)):
            sys.exit(f"The error is no number after epoch {epoch}: the rate is too high.")
        metrics.write(json.dumps({"epoch": epoch, "error": error(test)}) + "\n")

with open(f"{outputs}/score.json", "w") as score:
    json.dump({"error": error(test)}, score)
with open(f"{outputs}/weights.json", "w") as file:
    json.dump(weights, file)
