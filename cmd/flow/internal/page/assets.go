package page

import "embed"

// Assets are the files that pages need: styles and scripts, under "assets/".
//
//go:embed assets
var Assets embed.FS
