package batch

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"mvdan.cc/sh/v3/syntax"

	"flow/executor/batch/cloud"
)

// A login is what a person has to do for new credentials.
type login struct {
	command string // to be run in any terminal
	text    string // what else there is to do, if no command does it
	restart bool   // flow does not see what changes while it runs
}

// String is an instruction, as the second half of a sentence.
func (l login) String() string {
	text := l.text
	if l.command != "" {
		text = "log in with: " + l.command
	}
	if l.restart {
		return text + "; flow cannot see that while it runs: stop it, and go on with flow resume"
	}
	return text + "; flow goes on by itself afterwards"
}

// loginFor finds out where the SDK has the credentials of a configuration from, in the order
// of the SDK itself (config, resolveCredentialChain). profile is one that was chosen
// otherwise than by AWS_PROFILE; it goes before keys in the environment.
func loginFor(cfg aws.Config, profile string) login {
	env, shared := cloud.Sources(cfg)
	switch {
	case profile != "":
	case env.Credentials.HasKeys():
		return environmentLogin
	case env.WebIdentityTokenFilePath != "":
		return login{text: "have the token in " + env.WebIdentityTokenFilePath + " renewed"}
	}
	return profileLogin(env, &shared)
}

var environmentLogin = login{
	text:    "they come from the environment of flow: export new AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
	restart: true,
}

func profileLogin(env config.EnvConfig, p *config.SharedConfig) login {
	of := ""
	if p.Profile != "" && p.Profile != config.DefaultSharedConfigProfile {
		of = " --profile " + shellWord(p.Profile)
	}
	switch {
	case p.Source != nil:
		return profileLogin(env, p.Source) // a role, assumed with the credentials of another profile
	case p.Credentials.HasKeys():
		return login{text: "give new keys to: aws configure" + of}
	case p.CredentialSource == "Environment":
		return environmentLogin
	case p.CredentialSource != "":
		return machineLogin
	case p.WebIdentityTokenFile != "":
		return login{text: "have the token in " + p.WebIdentityTokenFile + " renewed"}
	case p.SSOSession != nil && of == "":
		return login{command: "aws sso login --sso-session " + shellWord(p.SSOSession.Name)}
	case p.SSOSession != nil || p.SSOStartURL != "":
		return login{command: "aws sso login" + of}
	case p.LoginSession != "":
		return login{command: "aws login" + of}
	case p.CredentialProcess != "":
		return login{text: "log in to what gives them, the credential_process " + program(p.CredentialProcess)}
	case env.ContainerCredentialsRelativePath != "" || env.ContainerCredentialsEndpoint != "":
		return machineLogin
	}
	return login{text: "log in with aws sso login, aws login or aws configure, or give this machine a role"}
}

var machineLogin = login{text: "they come from the role of this machine or container: renew it"}

// program returns the first word of a command line: the others may be secrets.
func program(line string) string {
	line = strings.TrimSpace(line)
	if quoted, ok := strings.CutPrefix(line, `"`); ok {
		name, _, _ := strings.Cut(quoted, `"`)
		return name
	}
	name, _, _ := strings.Cut(line, " ")
	return name
}

// shellWord quotes s for a shell, if it has to be quoted.
func shellWord(s string) string {
	word, err := syntax.Quote(s, syntax.LangPOSIX)
	if err != nil {
		return s
	}
	return word
}
