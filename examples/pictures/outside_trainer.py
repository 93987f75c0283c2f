#!/usr/bin/env python3
"""A trainer outside the platform, as the original's stand-alone trainer: it orders a batch over dicebox's own API, polls its
pictures one by one, trains on them, and measures on others. It needs Python alone.

    DICEBOX_KEY=... python3 outside_trainer.py http://127.0.0.1:8002 --pictures 500 --set fashion_28x28
"""

import argparse
import json
import math
import os
import random
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


class Sensory:
    """The sensory service in the dialect of 2019."""

    def __init__(self, url, key, version, which):
        self.url, self.which = url.rstrip("/"), which
        self.headers = {"API-ACCESS-KEY": key, "API-VERSION": version, "Content-type": "application/json"}

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def categories(self):
        """The index of each category by its name."""
        query = urllib.parse.urlencode(self.which)
        return self.call("/api/sensory/category" + (f"?{query}" if query else ""))["category_map"]

    def batch(self, size, noise):
        """Orders a batch, and yields its pictures as they come: (label, pixels)."""
        order = {"batch_size": size, "noise": noise, **self.which}
        batch = self.call("/api/sensory/batch", order)["batch_id"]
        if batch is None:
            sys.exit("The service takes no order for a batch now.")
        got = 0
        while got < size:
            sample = self.call("/api/sensory/poll", {"batch_id": batch})
            if sample["data"] is None:
                time.sleep(0.1)  # nothing is ready yet
                continue
            got += 1
            yield sample["label"].index(1), [value / 255 for value in sample["data"]]


class Softmax:
    """One linear score for each category, trained by stochastic gradient descent."""

    def __init__(self, inputs, categories):
        self.weights = [[0.0] * (inputs + 1) for _ in range(categories)]

    def probabilities(self, pixels):
        scores = [row[-1] + sum(map(lambda weight, value: weight * value, row, pixels)) for row in self.weights]
        highest = max(scores)
        powers = [math.exp(score - highest) for score in scores]
        return [power / sum(powers) for power in powers]

    def learn(self, label, pixels, rate):
        for category, (row, share) in enumerate(zip(self.weights, self.probabilities(pixels))):
            step = rate * ((category == label) - share)
            for at, value in enumerate(pixels):
                if value:
                    row[at] += step * value
            row[-1] += step

    def accuracy(self, samples):
        right = sum(max(enumerate(self.probabilities(pixels)), key=lambda pair: pair[1])[0] == label for label, pixels in samples)
        return right / len(samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url", help="the sensory service, such as http://127.0.0.1:8002")
    parser.add_argument("--set", help="which set of pictures, such as fashion_28x28; the service's own where absent")
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--api-version", default="0.3.0")
    given = parser.parse_args()
    which = {}
    if given.set:
        name, _, size = given.set.rpartition("_")
        width, height = map(int, size.split("x"))
        which = {"name": name, "width": width, "height": height}
    sensory = Sensory(given.url, os.environ["DICEBOX_KEY"], given.api_version, which)
    try:
        categories = sensory.categories()
        samples = list(sensory.batch(given.pictures, given.noise))
    except urllib.error.HTTPError as error:
        sys.exit(f"The service answers {error.code}: {error.read(300).decode(errors='replace')}")
    print(f"{len(samples)} pictures of {len(categories)} categories, {len(samples[0][1])} pixels each")
    held_out = samples[: max(1, len(samples) // 5)]
    to_learn = samples[len(held_out) :]
    network = Softmax(len(samples[0][1]), len(categories))
    shuffled = random.Random(7)
    for epoch in range(1, given.epochs + 1):
        shuffled.shuffle(to_learn)
        for label, pixels in to_learn:
            network.learn(label, pixels, rate=0.01)
        print(f"epoch {epoch}: accuracy {network.accuracy(held_out):.3f} on {len(held_out)} held out", flush=True)


main()
