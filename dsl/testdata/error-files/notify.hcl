variable "hook" {
  type      = string
  sensitive = true
}
variable "to" {
  type    = list(string)
  default = []
}
step "a" { command = ["true"] }

notify "nobody" { on = ["failed"] } # ERROR: Missing block | command, webhook, slack, sns or email
notify "never" { # ERROR: Missing required argument | does not say when
  slack { webhook = var.hook }
}
notify "when" {
  on = ["faild", "paused"] # ERROR: Unsuitable value | Did you mean "failed"?
  sms { number = "1" } # ERROR: Unsupported block type
}
notify "when" { # ERROR: Duplicate notify
  on = ["paused"]
  slack { webhook = "env:SLACK" }
}
notify "step" {
  on = step.a.status # ERROR: Reference not allowed here
  slack { webhook = "env:SLACK" }
}
notify "slack" {
  on = ["failed"]
  slack {} # ERROR: Missing required argument | webhook
  slack { webhook = "https://hooks.slack.com/services/T0/B0/XXX" } # ERROR: Unsuitable value | Its text itself does not belong here
  slack { webhook = "env:1X" } # ERROR: Unsuitable value | names no secret
  slack { webhook = "ssm:/lab/slack" } # ERROR: Unsuitable value | flow itself sends messages
  slack {
    webhook = var.hook
    timeout = "5m" # ERROR: Unsuitable value | 1m0s at most
  }
}
notify "webhook" {
  on = ["failed"]
  webhook { url = "hooks.example.org" } # ERROR: Unsuitable value | no address
  webhook { url = "https://hooks.example.org/${var.hook}" } # ERROR: Unsuitable value | named, never computed
  webhook { url = "" } # ERROR: Unsuitable value | empty
  webhook {
    url    = var.hook
    secret = "whsec_abc" # ERROR: Unsuitable value | Its text itself does not belong here
    headers = {
      Authorization  = "Bearer ${var.hook}" # ERROR: Unsuitable value | named, never computed
      "a b"          = "x" # ERROR: Unsuitable value | name of a header
      content-length = "5" # ERROR: Unsuitable value | flow itself sets Content-Length
      webhook-id     = "5" # ERROR: Unsuitable value | flow itself sets Webhook-Id
      X-Lines        = "a\nb" # ERROR: Unsuitable value | one line
    }
  }
  webhook {
    url     = var.hook
    headers = { for k in ["a"] : k => k } # ERROR: Unsuitable value | written out
  }
}
notify "command" {
  on = ["failed"]
  command {} # ERROR: Missing required argument | argv
  command { argv = [] } # ERROR: Unsuitable value | no program
  command { argv = ["tell", var.hook] } # ERROR: Sensitive value
}
notify "sns" {
  on = ["failed"]
  sns { topic = "alarms" } # ERROR: Unsuitable value | no ARN of a topic
  sns { topic = "arn:aws:sns:eu-central-1:123456789012:alarms.fifo" } # ERROR: Unsuitable value | standard topic
}
notify "email" {
  on = ["failed"]
  email { # ERROR: Unsuitable value | both
    server = "smtp.example.org/x" # ERROR: Unsuitable value | no mail server
    from   = "nobody" # ERROR: Unsuitable value | no mail address
    to     = ["a@example.org", "b"] # ERROR: Unsuitable value | no mail address
    user   = "u"
    tls    = "ssl" # ERROR: Unsuitable value
  }
  email {
    server   = "localhost"
    from     = "a@example.org"
    to       = [] # ERROR: Unsuitable value | nobody
    user     = "u" # ERROR: Unsuitable value | in the clear
    password = var.hook
    tls      = "none"
  }
}
