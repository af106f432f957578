/** Rows of cells as lines of text, with columns as wide as they need to be. */
export const table = (rows: readonly (readonly unknown[])[]): string => {
  const cells = rows.map((row) => row.map(String))
  const widths: number[] = []
  for (const row of cells) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('   ')
        .trimEnd(),
    )
    .join('\n')
}
