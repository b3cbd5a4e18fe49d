/** Colours and sizes for canvases, read from the style sheet so that both themes have one source. */
import type { ChartOptions } from 'chart.js';

export type Look = {
  ink: string; faint: string; line: string; surface: string; accent: string; accentSoft: string; good: string; bad: string; ghost: string; font: string; size: number;
};

export function readLook(): Look {
  const style = getComputedStyle(document.documentElement);
  const get = (name: string) => style.getPropertyValue(name).trim();
  return {
    ink: get('--ink'), faint: get('--ink-3'), line: get('--line'), surface: get('--surface'), accent: get('--accent'), accentSoft: get('--accent-wash'),
    good: get('--good-fill'), bad: get('--bad-fill'), ghost: get('--ghost'), font: getComputedStyle(document.body).fontFamily, size: parseFloat(style.fontSize) * 0.8,
  };
}

export function tooltipOf(look: Look) {
  const font = { family: look.font, size: look.size };
  return {
    backgroundColor: look.ink, titleColor: look.surface, bodyColor: look.surface, titleFont: { ...font, weight: 600 }, bodyFont: font,
    padding: look.size * 0.7, cornerRadius: 6, boxPadding: 4, displayColors: true, usePointStyle: true, boxWidth: look.size * 0.6, boxHeight: look.size * 0.6,
  } as const;
}

/** Axes for counts over time: no frame, hairlines only across, whole numbers. */
export function axesOf(look: Look, number: (n: number) => string, options: { stacked?: boolean; ticks?: number } = {}): NonNullable<ChartOptions<'line'>['scales']> {
  const font = { family: look.font, size: look.size };
  return {
    x: {
      stacked: options.stacked ?? false,
      grid: { display: false },
      border: { color: look.line },
      ticks: { color: look.faint, font, maxRotation: 0, autoSkip: true, autoSkipPadding: look.size * 1.6, maxTicksLimit: options.ticks ?? 9 },
    },
    y: {
      stacked: options.stacked ?? false,
      beginAtZero: true,
      grace: '8%',
      suggestedMax: 4,
      grid: { color: look.line },
      border: { display: false },
      ticks: { color: look.faint, font, precision: 0, maxTicksLimit: 5, padding: look.size * 0.4, callback: (value) => number(Number(value)) },
    },
  };
}
