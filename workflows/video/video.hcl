# A clip is cut at its key frames, every segment is transcoded to every rendition,
# and the joined renditions are compared with the original, frame by frame, before
# anything is published.

workflow "video" {
  description = "Transcode a clip in segments, package it for HLS, and verify it"

  defaults {
    timeout = "1h"

    resources {
      vcpus  = 1
      memory = "2 GiB"
    }

    retry {
      attempts = 3
      when "spot" { status_reason = "Host EC2*" } # the instance was taken back
    }
  }
}

variable "clip" {
  type        = string
  default     = "data/city.mpg"
  description = "The clip: any video file ffmpeg reads"
}

variable "renditions" {
  type        = list(number)
  default     = [240, 360, 480]
  description = "Heights in pixels; the width follows"
  validation {
    condition     = length(var.renditions) > 0 && length([for height in var.renditions : height if height < 16 || height % 2 != 0]) == 0
    error_message = "renditions must be one or more even heights, 16 or more each."
  }
}

variable "segment_seconds" {
  type        = number
  default     = 2
  description = "Segments are this long, or longer up to the next key frame"
  validation {
    condition     = var.segment_seconds > 0
    error_message = "segment_seconds must be more than 0."
  }
}

variable "min_ssim" {
  type        = number
  default     = 0.95
  description = "How similar each rendition must be to the original (SSIM, 1 is the same)"
  validation {
    condition     = var.min_ssim >= 0 && var.min_ssim <= 1
    error_message = "min_ssim must be between 0 and 1."
  }
}

locals {
  name = split(".", basename(var.clip))[0]

  # The same scaling for the encoder and for the comparison.
  scale = "flags=bicubic+accurate_rnd+bitexact,format=yuv420p"
}

step "probe" {
  description = "What the clip is, and how many frames it has"
  inputs      = { clip = var.clip }
  script      = <<-SH
    ffprobe -v error -select_streams v:0 -count_frames -of json \
      -show_entries stream=codec_name,width,height,avg_frame_rate,nb_read_frames "$clip" |
      jq '.streams[0] | {codec: .codec_name, width, height, rate: .avg_frame_rate, frames: (.nb_read_frames | tonumber)}' > clip.json
  SH

  output "clip" {
    json = "clip.json"
    type = object({ codec = string, width = number, height = number, rate = string, frames = number })
  }
}

step "split" {
  description = "Cut at key frames, without decoding"
  inputs      = { clip = var.clip }
  env         = { seconds = var.segment_seconds }
  script      = <<-SH
    ffmpeg -v error -nostdin -i "$clip" -map 0:v:0 -c copy -f segment -segment_time "$seconds" \
      -segment_format matroska -reset_timestamps 1 segment-%04d.mkv
  SH

  output "segments" { files = "segment-*.mkv" }
}

step "transcode" {
  description = "Every segment in every rendition"
  matrix {
    segment = step.split.outputs.segments
    height  = var.renditions
  }
  each_key = "${each.value.height}p-${trimsuffix(basename(each.value.segment), ".mkv")}" # 480p-segment-0003
  inputs   = { segment = each.value.segment }
  env      = { scale = "scale=-2:${each.value.height}:${local.scale}" }

  # One thread: the result must not depend on the machine.
  script = <<-SH
    ffmpeg -v error -nostdin -i "$segment" -vf "$scale" -fps_mode passthrough \
      -c:v libx264 -preset veryfast -crf 23 -threads 1 -g 48 -sc_threshold 0 -bf 2 \
      -flags:v +bitexact -fflags +bitexact -map_metadata -1 -f mpegts "$part"
  SH

  output "part" { file = "${each.key}.ts" }
}

step "join" {
  description = "One file per rendition"
  for_each    = var.renditions
  each_key    = "${each.value}p"
  inputs      = { parts = [for part in step.transcode.outputs.part : part if startswith(basename(part), "${each.key}-")] }
  script      = <<-SH
    sed "s/'/'\\\\''/g; s/.*/file '&'/" "$parts_list" > parts.txt
    ffmpeg -v error -nostdin -f concat -safe 0 -i parts.txt -c copy -fflags +bitexact -movflags +faststart "$mp4"
  SH

  output "mp4" { file = "${local.name}-${each.key}.mp4" }
}

step "verify" {
  description = "As many frames as the original, and similar enough to it"
  for_each    = step.join.each
  inputs      = { mp4 = each.value.outputs.mp4, clip = var.clip }
  env = {
    frames   = step.probe.outputs.clip.frames
    min_ssim = var.min_ssim
    scale    = "scale=-2:${trimsuffix(each.key, "p")}:${local.scale}"
  }

  # settb: without one time base for both, frames are paired wrongly.
  script = <<-SH
    found=$(ffprobe -v error -select_streams v:0 -count_frames -show_entries stream=nb_read_frames -of json "$mp4" |
      jq -r '.streams[0].nb_read_frames')
    if [ "$found" != "$frames" ]; then
      echo "$FLOW_KEY has $found frames, the clip has $frames" >&2
      exit 1
    fi

    ffmpeg -hide_banner -nostdin -i "$mp4" -i "$clip" -fps_mode passthrough -f null - -lavfi "
      [0:v]settb=AVTB,setpts=N[a];
      [1:v]$scale,settb=AVTB,setpts=N[b];
      [a][b]ssim" 2> ssim.log || { cat ssim.log; exit 1; }
    ssim=$(sed -n 's/.*SSIM.* All:\([0-9.]*\).*/\1/p' ssim.log)
    jq -n --arg rendition "$FLOW_KEY" --argjson frames "$found" --argjson ssim "$ssim" '{$rendition, $frames, $ssim}' > quality.json
    jq -e --argjson min "$min_ssim" '.ssim >= $min' quality.json > /dev/null || {
      echo "$FLOW_KEY: SSIM is $ssim, less than $min_ssim" >&2
      exit 1
    }
  SH

  output "quality" {
    json = "quality.json"
    type = object({ rendition = string, frames = number, ssim = number })
  }
}

step "package" {
  description = "An HLS playlist per rendition, and its entry of the master playlist"
  for_each    = step.join.each
  inputs      = { mp4 = each.value.outputs.mp4 }
  script      = <<-SH
    mkdir "$hls"
    ffmpeg -v error -nostdin -i "$mp4" -c copy -f hls -hls_time 4 -hls_playlist_type vod \
      -hls_segment_filename "$hls/part-%03d.ts" "$hls/index.m3u8"

    size=$(ffprobe -v error -select_streams v:0 -show_entries stream=width,height -of csv=p=0:s=x "$mp4")
    peak=$(paste <(sed -n 's/^#EXTINF:\([0-9.]*\).*/\1/p' "$hls/index.m3u8") <(stat -c %s "$hls"/part-*.ts) |
      awk '{ bits = $2 * 8 / $1; if (bits > peak) peak = bits } END { printf "%d", peak }')
    printf '#EXT-X-STREAM-INF:BANDWIDTH=%s,RESOLUTION=%s\n%s/index.m3u8\n' "$peak" "$size" "$FLOW_KEY" > entry.txt
  SH

  output "hls" { directory = "${each.key}" }
  output "entry" { text = "entry.txt" }
}

step "master" {
  description = "The master playlist, beside the renditions"
  inputs      = { renditions = step.package.outputs.hls }
  env         = { entries = join("\n", step.package.outputs.entry) }
  script      = <<-SH
    mkdir "$hls"
    cp -rL "$renditions"/* "$hls/"
    printf '#EXTM3U\n#EXT-X-VERSION:3\n%s\n' "$entries" > "$hls/master.m3u8"
  SH

  output "hls" { directory = "hls" }
}

step "contact_sheet" {
  description = "Twenty pictures from the whole clip"
  inputs      = { clip = var.clip }
  env         = { every = max(1, floor(step.probe.outputs.clip.frames / 20)) }
  script      = <<-SH
    ffmpeg -v error -nostdin -i "$clip" -vf "thumbnail=$every,scale=240:-2,tile=5x4:padding=4:margin=4" -frames:v 1 "$sheet"
  SH

  output "sheet" { file = "contact-sheet.png" }
}

step "summary" {
  description = "What was made of what"
  env = {
    clip    = jsonencode(step.probe.outputs.clip)
    quality = jsonencode(step.verify.outputs.quality)
  }
  script = <<-SH
    {
      jq -r '"original  \(.width)x\(.height) \(.codec), \(.frames) frames, \(.rate) a second"' <<< "$clip"
      jq -r '.[] | "\(.rendition)      \(.frames) frames, SSIM \(.ssim)"' <<< "$quality"
    } > "$summary"
  SH

  output "summary" { file = "summary.txt" }
}

output "summary" {
  value   = step.summary.outputs.summary
  publish = "results/${local.name}/summary.txt"
}

output "quality" {
  description = "Frames and SSIM of each rendition"
  value       = step.verify.outputs.quality
}

output "mp4" {
  description = "The renditions, one file each"
  value       = step.join.outputs.mp4
  publish     = "results/${local.name}/"
}

output "hls" {
  description = "A folder to serve: hls/master.m3u8 lists the renditions"
  value       = step.master.outputs.hls
  publish     = "results/${local.name}/hls"
}

output "contact_sheet" {
  value   = step.contact_sheet.outputs.sheet
  publish = "results/${local.name}/contact-sheet.png"
}
