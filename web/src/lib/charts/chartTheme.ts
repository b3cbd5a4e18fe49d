/** Colours and sizes for charts. The style sheet is their only source, for both themes. */
import type { ChartOptions } from 'chart.js';

export type ChartTheme = {
  ink: string;
  faint: string;
  line: string;
  surface: string;
  accent: string;
  accentSoft: string;
  good: string;
  bad: string;
  ghost: string;
  font: string;
  size: number;
};

export function readChartTheme(): ChartTheme {
  const style = getComputedStyle(document.documentElement);
  const get = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: get('--ink'),
    faint: get('--ink-3'),
    line: get('--line'),
    surface: get('--surface'),
    accent: get('--accent'),
    accentSoft: get('--accent-wash'),
    good: get('--good-fill'),
    bad: get('--bad-fill'),
    ghost: get('--ghost'),
    font: getComputedStyle(document.body).fontFamily,
    size: parseFloat(style.fontSize) * 0.8,
  };
}

export function tooltipOptions(theme: ChartTheme) {
  const font = { family: theme.font, size: theme.size };
  return {
    backgroundColor: theme.ink,
    titleColor: theme.surface,
    bodyColor: theme.surface,
    titleFont: { ...font, weight: 600 },
    bodyFont: font,
    padding: theme.size * 0.7,
    cornerRadius: 6,
    boxPadding: 4,
    displayColors: true,
    usePointStyle: true,
    boxWidth: theme.size * 0.6,
    boxHeight: theme.size * 0.6,
  } as const;
}

/** Axes for counts over time: no frame, horizontal grid lines only, whole numbers. */
export function axisOptions(
  theme: ChartTheme,
  number: (n: number) => string,
  options: { stacked?: boolean; ticks?: number } = {},
): NonNullable<ChartOptions<'line'>['scales']> {
  const font = { family: theme.font, size: theme.size };
  return {
    x: {
      stacked: options.stacked ?? false,
      grid: { display: false },
      border: { color: theme.line },
      ticks: {
        color: theme.faint,
        font,
        maxRotation: 0,
        autoSkip: true,
        autoSkipPadding: theme.size * 1.6,
        maxTicksLimit: options.ticks ?? 9,
      },
    },
    y: {
      stacked: options.stacked ?? false,
      beginAtZero: true,
      grace: '8%',
      suggestedMax: 4,
      grid: { color: theme.line },
      border: { display: false },
      ticks: {
        color: theme.faint,
        font,
        precision: 0,
        maxTicksLimit: 5,
        padding: theme.size * 0.4,
        callback: (value) => number(Number(value)),
      },
    },
  };
}
