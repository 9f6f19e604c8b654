package main

import (
	"context"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	"querytask.dev/cluster/internal/process"
)

// parts maps a part's name to what runs it with its argv (name first) and gives the exit code.
var parts = map[string]func(argv []string) int{
	"apiserver":          command(apiserver.NewAPIServerCommand),
	"controller-manager": command(manager.NewControllerManagerCommand),
	"etcd":               etcd,
	"init":               process.Init,
	"kubectl":            command(kubectl.NewDefaultKubectlCommand),
	"kubelet":            command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"proxy":              command(proxy.NewProxyCommand),
	"scheduler":          command(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
}

// command is made when it is run: building all the commands would cost each start their flags.
func command(build func() *cobra.Command) func([]string) int {
	return func([]string) int { return cli.Run(build()) }
}

func etcd(argv []string) int {
	etcdmain.Main(argv)
	return 0
}
