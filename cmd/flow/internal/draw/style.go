package draw

// style is for light and for dark backgrounds. Colours are also told by the words in the
// nodes. Pages have rules of their own for the same classes.
const style = `
    .bg { fill: #ffffff; }
    .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2; }
    .label { font: 600 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #1f2328; text-anchor: middle; }
    .detail { font: 11px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #57606a; text-anchor: middle; }
    .edge { fill: none; stroke: #6e7781; stroke-width: 1.3; }
    .order { stroke-dasharray: 5 4; }
    .element { stroke-width: 2.4; }
    .thin { stroke-width: 0.7; stroke-opacity: 0.6; }
    .head { fill: #6e7781; stroke: none; }
    .RUNNING .box { fill: #ddf4ff; stroke: #0969da; }
    .SUCCEEDED .box { fill: #dafbe1; stroke: #1a7f37; }
    .CACHED .box { fill: #d8f5f0; stroke: #1b7c83; }
    .FAILED .box { fill: #ffebe9; stroke: #cf222e; stroke-width: 2; }
    .SKIPPED .box, .CANCELLED .box { fill: #fff8c5; stroke: #9a6700; }
    .PENDING .box { stroke-dasharray: 3 3; }
    .seg.PENDING { fill: #d0d7de; }
    .seg.RUNNING { fill: #0969da; }
    .seg.SUCCEEDED { fill: #1a7f37; }
    .seg.CACHED { fill: #1b7c83; }
    .seg.FAILED { fill: #cf222e; }
    .seg.SKIPPED, .seg.CANCELLED { fill: #9a6700; }
    @media (prefers-color-scheme: dark) {
      .bg { fill: #0d1117; }
      .box { fill: #161b22; stroke: #8b949e; }
      .label { fill: #e6edf3; }
      .detail { fill: #9da7b3; }
      .edge { stroke: #8b949e; }
      .head { fill: #8b949e; }
      .RUNNING .box { fill: #0c2d6b; stroke: #58a6ff; }
      .SUCCEEDED .box { fill: #033a16; stroke: #3fb950; }
      .CACHED .box { fill: #04393d; stroke: #39c5cf; }
      .FAILED .box { fill: #67060c; stroke: #f85149; }
      .SKIPPED .box, .CANCELLED .box { fill: #4b2900; stroke: #d29922; }
      .seg.PENDING { fill: #484f58; }
      .seg.RUNNING { fill: #58a6ff; }
      .seg.SUCCEEDED { fill: #3fb950; }
      .seg.CACHED { fill: #39c5cf; }
      .seg.FAILED { fill: #f85149; }
      .seg.SKIPPED, .seg.CANCELLED { fill: #d29922; }
    }
`
