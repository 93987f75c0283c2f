"""train.py FOLDER EPOCHS BATCH: the network `small-cnn` of the picture trainer, in Keras, on the same pictures.

Prints a line of JSON an epoch: seconds of learning and measuring, and the accuracy on the test pictures.
"""
import json
import os
import sys
import time

os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy
import tensorflow

layers = tensorflow.keras.layers
folder, epochs, batch = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
with open(os.path.join(folder, 'training.json')) as file:
    categories = json.load(file)['categories']


def read(part):
    shard = os.path.join(folder, part, '000')
    with open(os.path.join(shard, 'index.json')) as file:
        index = json.load(file)
    size = (index['count'], index['height'], index['width'], 1)
    pixels = numpy.fromfile(os.path.join(shard, 'pixels.u8'), numpy.uint8).reshape(size)
    labels = numpy.array([categories.index(name) for name in index['categories']])
    return pixels.astype(numpy.float32) / 255, labels


def convolution(filters):
    return layers.Conv2D(filters, 3, padding='same', activation='relu')


pictures, labels = read('train')
tests, answers = read('test')
model = tensorflow.keras.Sequential([
    layers.Input(pictures.shape[1:]),
    convolution(16), layers.MaxPooling2D(2, padding='same'),
    convolution(32), layers.MaxPooling2D(2, padding='same'),
    layers.Dropout(0.25), layers.Flatten(), layers.Dense(64, activation='relu'),
    layers.Dense(len(categories)),
])
loss = tensorflow.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer='adam', loss=loss, metrics=['accuracy'])
for epoch in range(epochs):
    start = time.perf_counter()
    model.fit(pictures, labels, batch_size=batch, verbose=0)
    _, accuracy = model.evaluate(tests, answers, batch_size=256, verbose=0)
    seconds = time.perf_counter() - start
    print(json.dumps({'seconds': seconds, 'accuracy': accuracy}), flush=True)
