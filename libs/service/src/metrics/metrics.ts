/**
 * Metrics: figures that are shown at `/metrics` in the text format of Prometheus. Names are `morpheo_…` with their
 * unit, counters end in `_total`. Labels take few values: kinds, steps, reasons; never an id. A figure that is asked for
 * twice is the same figure.
 */
export interface Metrics {
  /** Counts what happened since the process started. */
  counter<Label extends string = never>(what: Metric<Label>): Counter<Label>;
  /** What stands at a value now. */
  gauge<Label extends string = never>(what: Metric<Label>): Gauge<Label>;
  /** How values are spread; `buckets` are the upper bounds. */
  histogram<Label extends string = never>(
    what: Metric<Label> & { readonly buckets: readonly number[] },
  ): Histogram<Label>;
  /**
   * Asks for figures before they are shown, at most once in `everyMs`. One that takes longer than two seconds is not
   * waited for, and where it throws, the gauges that it sets are not shown (`stale`). Disposing ends it.
   */
  onScrape(what: OnScrape): Disposable;
  readonly contentType: string;
  /** All figures as text. */
  expose(): Promise<string>;
}

/** What a figure is called, in words and in letters. */
export interface Metric<Label extends string> {
  readonly name: string;
  /** One sentence for whoever reads it. */
  readonly help: string;
  readonly labels?: readonly Label[];
}

/** The values of the labels. */
export type Labels<Label extends string> = Readonly<Record<Label, string>>;

/** See {@link Metrics.counter}. */
export interface Counter<Label extends string = never> {
  add(labels: Labels<Label>, by?: number): void;
}

/** See {@link Metrics.gauge}. */
export interface Gauge<Label extends string = never> {
  set(labels: Labels<Label>, value: number): void;
  /** Forgets all values. */
  clear(): void;
}

/** See {@link Metrics.histogram}. A value below 0, such as a time by a clock that was set back, counts as 0. */
export interface Histogram<Label extends string = never> {
  observe(labels: Labels<Label>, value: number): void;
}

/** Figures that are asked for; see {@link Metrics.onScrape}. */
export interface OnScrape {
  readonly everyMs: number;
  readonly refresh: () => Promise<void>;
  /** The gauges that say nothing while `refresh` fails. */
  readonly stale?: readonly Pick<Gauge, 'clear'>[];
}
