export type { Counter, Gauge, Histogram, Labels, Metric, Metrics, OnScrape } from './metrics.ts';
export { createMetrics, type MetricsOptions } from './prometheus.ts';
