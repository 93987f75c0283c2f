/** How well a network did on some pictures. */
export interface Score {
  /** The sum of the losses (cross entropy) of all pictures. */
  readonly loss: number;
  /** How many pictures were given their own category. */
  readonly right: number;
  readonly pictures: number;
}

/** No pictures. */
export const NO_SCORE: Score = { loss: 0, right: 0, pictures: 0 };

/** Both together. */
export function sumOf(one: Score, other: Score): Score {
  return {
    loss: one.loss + other.loss,
    right: one.right + other.right,
    pictures: one.pictures + other.pictures,
  };
}

/** Judges logits, a row for each label, by the labels that are right. */
export function scoreOf(logits: Float32Array, labels: Int32Array): Score {
  const width = logits.length / labels.length;
  let [loss, right] = [0, 0];
  for (const [row, label] of labels.entries()) {
    const values = logits.subarray(row * width, (row + 1) * width);
    const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const sum = values.reduce((all, value) => all + Math.exp(value - most), 0);
    loss += Math.log(sum) + most - (values[label] ?? Number.NaN);
    if (values.indexOf(most) === label) right += 1;
  }
  return { loss, right, pictures: labels.length };
}

/** The most probable category of each row. */
export function classesOf(rows: Float32Array, width: number): readonly number[] {
  return Array.from({ length: rows.length / width }, (_, row) => {
    const values = rows.subarray(row * width, (row + 1) * width);
    return values.indexOf(values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
  });
}
