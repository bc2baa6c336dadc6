package state

// networks names the file systems on which processes of several hosts may share the
// file, or whose memory mappings and locks cannot be trusted: by f_type of statfs(2)
// (linux/magic.h, and the sources of those that are not in Linux itself).
var networks = map[int64]string{
	0x6969:     "NFS",
	0x517B:     "SMB",
	0xFF534D42: "CIFS",
	0xFE534D42: "SMB2",
	0x0BD00BD0: "Lustre",
	0x65735546: "FUSE",
	0x01021997: "9p",
	0x47504653: "GPFS",
	0x19830326: "BeeGFS",
	0x00C36400: "Ceph",
	0x5346414F: "AFS",
	0x6B414653: "kAFS",
	0x73757245: "Coda",
	0x7461636F: "OCFS2",
	0x01161970: "GFS2",
	0xAAD7AAEA: "PanFS",
	0x20030528: "OrangeFS",
	0x786F4256: "vboxsf",
	0x0000564C: "NCP",
}
